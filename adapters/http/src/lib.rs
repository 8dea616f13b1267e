//! The HTTP face: poem and poem-openapi live here and nowhere else.
