"""Keep models loaded and share them: the server, its client, the HTTP interface and the page."""
