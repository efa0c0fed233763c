"""Exports of the cursor dialect: asked for, waited for, fetched from the URL that the API signs.

The signed URL is another host's: it gets no key, is checked before it is asked, and is fetched by a
client of its own.
"""
