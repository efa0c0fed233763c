"""Where rows and values are in JSON text: found with NumPy or msgspec, without decoding a value."""
