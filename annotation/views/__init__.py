"""The pages of annotation: parse, ask the door, call one action, answer. `page` is what every page shares."""
