"""How far people agree, on one question or by what sets items apart: counted as votes come, and told as figures."""
