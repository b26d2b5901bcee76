"""A function as a page: what the browser is told, generated from the table, the algebra and the surface."""
