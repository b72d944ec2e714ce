"""Files into rows: readers that stream, the rules of an item row, archives of images. No database in here."""
