"""What goes wrong around an installation, one module each: `run(options)` does it and tells what came of it."""
