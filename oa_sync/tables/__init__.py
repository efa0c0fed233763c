"""What fetched rows mean for tables. Nothing here knows how a destination is written."""
