"""Work that the API does on request: queries, and exports to a file.

An export's file is fetched from a signed URL of another host. That host gets no key, is checked before it
is asked, and is asked by a client of its own.
"""
