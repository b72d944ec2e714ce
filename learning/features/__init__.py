"""Features of items as they are stored: `counting` of words, `encoding` of texts by a sentence model, `embeddings` from
elsewhere, `stores` that make rows, `shards` that hold them; `stored` brings a project's up to date.
"""
