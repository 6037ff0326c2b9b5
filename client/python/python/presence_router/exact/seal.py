"""The seal: five functions and sets of Synapse's own objects that the module replaces, so that
nothing shows a presence around it.

No file of Synapse is changed. Each part is checked for the shape that it must have before it is
replaced: another version of Synapse may have changed it, and then the module refuses to start.
"""
