"""Annotation's part of the HTTP API: a module per noun of thin views that parse, ask the door, call one action, answer.

`view` what every view shares; `bodies`, `queries` and `paging` reading requests; `sessions` the CSRF check;
`exceptions` errors as JSON; `openapi` and `shapes` the description.
"""
