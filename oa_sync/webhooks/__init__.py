"""Signed callbacks of the API: signature, durable inbox, receiver. The next sync drains the inbox."""
