"""Every change of learning's rows: one keyword-only, atomic function each, with its event. Nobody else writes them.

`snapshots` accepted labels frozen, published, withdrawn; `rounds` a round from its request to the raised batch;
`models` models and scores; `predictions` scores from elsewhere.
"""
