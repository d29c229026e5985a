"""Pages and JSON views, served by Faust's web server."""
