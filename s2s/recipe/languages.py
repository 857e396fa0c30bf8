"""Language codes."""

import re

NO_LANGUAGE = "src"  # a code of Sardinian, but in file names and headers always the source


def primary_language(code: str) -> str:
    """Return the language of a code without script and region, with two letters if it has such a code.

    `zh_TW`, `zho` and `cmn` give `zh`.
    """
    from babel.core import get_global

    language = code.replace("_", "-").partition("-")[0].lower()
    return str(get_global("language_aliases").get(language, language))


def is_language_code(text: str) -> bool:
    """Return whether a text is a language code, with or without script and region: `de`, `deu`, `pt_BR`, `zh-Hant`."""
    from babel.localedata import exists

    shape = re.fullmatch(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?", text, re.ASCII)
    return shape is not None and text.lower() != NO_LANGUAGE and exists(primary_language(text))
