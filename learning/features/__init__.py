"""Features of items as they are stored: `counting` of words, `embeddings` from elsewhere, `stores` that make rows,
`shards` that hold them; `stored` brings a project's up to date.
"""
