"""Where things stand in JSON text: found with NumPy, without decoding a value."""
