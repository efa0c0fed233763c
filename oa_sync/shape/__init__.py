"""Raw bytes of JSON to Arrow tables: cutting documents into rows, and rows into tables."""
