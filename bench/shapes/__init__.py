"""How the bundled shapes detector (models/shapes) was made. Nothing here is needed to use it."""
