"""A bounded kill test of the whole suite: every process dies at random under load; nothing may be lost or doubled."""
