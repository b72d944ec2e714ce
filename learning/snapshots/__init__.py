"""A snapshot's files: what they hold, how they are written, and the proof that they are whole.

`canonical` and `merkle` one form and one root; `columns` questions as columns; `rows` a frozen snapshot as rows;
`parquet` fixed settings; `documents` manifest, card, Croissant; `files` a folder of all of it; `schedule` when the next
one is due; `verify` the script that travels with each snapshot. Importing this package, `canonical`, `merkle` or
`verify` needs no Django: `touchstone pull` runs where there is none.
"""
