"""Sequence models: from columns of events to an item table, an encoder, and a judgement."""
