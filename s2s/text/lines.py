"""temporary"""
import unicodedata
from s2s.errors import DataError
from s2s.files import read_lines
def decode_line(line, where, on_invalid):
    try: return line.decode()
    except UnicodeDecodeError as e:
        if on_invalid == "refuse": raise DataError(f"{where}: invalid UTF-8") from e
        return line.decode(errors="replace")
def normalize(text, form): return text if form == "none" else unicodedata.normalize(form.upper(), text)
def single_line(t): return t.replace("\n", " ").replace("\r", " ")
def read_ahead(file, window, name):
    import itertools
    it = read_lines(file, name)
    while g := list(itertools.islice(it, window)): yield g
