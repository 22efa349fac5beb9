"""Names of folders with letters that have a meaning in URLs, shells or messages."""

ODD = (
    "My%20Repo",
    "100%25",
    "a?b",
    "a?..b",
    "a#b",
    "a;b",
    "a&b=c",
    "a+b",
    "ü",
    "two words",
    "two\nlines",
    "back\\slash",
    "an'apostrophe",
    'a"quote',
    "me@host:5000",
    "[bold]{SCHEMA_VERSION}$HOME",
)

EVERY_LETTER = "a%20b%25?#;&+ü '\n\\\"@:{}[]=~z"
