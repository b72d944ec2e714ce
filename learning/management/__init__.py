"""Commands of the app `learning`."""
