"""The suite on this machine: started, and asked how it is."""
