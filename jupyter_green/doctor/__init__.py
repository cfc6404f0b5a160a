"""The doctor: what is measured on this machine, what is not, and what opens the rest.

``examine`` looks and gives an ``Examination`` of frozen values; ``page`` puts it into words, which
``text`` and ``fragment`` lay out for a terminal and a notebook. It reads, and tries one temporary
file where the journals go. It changes nothing, asks for no rights and opens no connection.
"""
