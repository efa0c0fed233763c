"""The history of resources that live through statuses, such as agent runs, which no list may show."""
