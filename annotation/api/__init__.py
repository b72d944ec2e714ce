"""The HTTP API's part of annotation: one module per noun, each a thin view: parse, ask the door, call one action, answer.

`view` what every view shares; `bodies`, `queries` and `paging` reading requests; `exceptions` errors as JSON; `openapi` the description.
"""
