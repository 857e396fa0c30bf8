"""Reports: figures in, pictures out (terminal, SVG, HTML)."""
