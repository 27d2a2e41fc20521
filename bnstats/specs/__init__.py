"""Specs: from a text such as ``elu:alpha=2``, or another library's name, to a layer."""
