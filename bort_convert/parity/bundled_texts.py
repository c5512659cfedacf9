"""The texts whose ids are proved where the user gives none: one text or a pair each, between them what tokenizers trip over.

No special token is written out in them: GluonNLP takes those for ordinary characters, Transformers does not.
"""

Text = tuple[str, ...]
"""One text, or the two of a pair."""

SINGLES = (
    "",
    " ",
    "   ",
    "\n",
    "a",
    "A small model reads as well as a large one, said nobody in 2019.",
    " one space before",
    "one space after ",
    "two  spaces,   three,    four",
    "a tab\tand a line\nand another\r\nend",
    "   \n\n  \t indented after empty lines",
    "it's what we've said; they're sure I'm late, she'd go, we'll see, don't!",
    "IT'S WHAT WE'VE SAID; THEY'RE SURE",
    "'s't're've'm'll'd 's 't",
    "rock 'n' roll in the '90s, o'clock’s",
    "0 1 12 123 1234 12345 3.14159 1,000,000 1e-05 0x1F -7 +7 50%",
    "room101 4you v2.0beta 10am 1st 2nd",
    "Ⅷ ½ ² ٣ ৪ 五 ⑦",
    "... !? ?! --- === ((([[[{{{}}}]]])))",
    "“double” ‘single’ «angle» – en — em … ellipsis",
    "first-class under_score CamelCase ALLCAPS mixedCASE",
    "https://example.org/a/b?c=d&e=%20#f user@example.org C:\\temp\\file.txt",
    "if (x <= 3 && y != 4) { return a[i] ** 2; } // done",
    "naïve café, Ångström, Straße, œuvre, İstanbul, ﬁne",
    "e\u0301 and é; n\u0303 and ñ; a\u0323\u0302 stacked",
    "Привет, мир! Ελληνικά. Հայերեն. ქართული.",
    "日本語の文章です。漢字とかな。",
    "中文没有空格。 한국어 문장입니다.",
    "नमस्ते दुनिया। வணக்கம். สวัสดีครับ",
    "مرحبا بالعالم، كيف الحال؟ שלום עולם",
    "😀 👍🏽 👩\u200d🚀 👨\u200d👩\u200d👧\u200d👦 🇨🇭🇯🇵 ❤\ufe0f 1\ufe0f⃣",
    "no\u00a0break, em\u2003space, zero\u200bwidth, ideographic\u3000space, line\u2028separator, next\u0085line",
    "\x00 \x01 \x1b \x7f \x1c\x1d\x1e\x1f control",
    "\ufeffmark, \ufffdreplacement, \ue000private, \U0010ffffnoncharacter",
    "𝒜𝓁𝓅𝒽𝒶 𝟙𝟚𝟛 𐍈 𠀀 𓀀",
    "Ġ Ċ ĉ Â ł byte alphabet",
    "x" * 300,
    "ha" * 100 + "!" * 100,
    "<b>bold</b> <s <pad unk> mask",
)

PAIRS = (
    ("", ""),
    ("a", ""),
    ("", "b"),
    ("Is it raining?", "The street is wet."),
    ("Is it raining? ", " The street is wet."),
    ("The first has\ttabs", "the second\nlines"),
    ("Zürich hat 400’000 Einwohner.", "Zurich has 400,000 inhabitants."),
    ("これは何ですか。", "它是什么？"),
    ("👍", "👎🏿"),
    ("'s", "'t"),
    ("one " * 40, "two " * 40),
)

TEXTS: tuple[Text, ...] = (*((text,) for text in SINGLES), *PAIRS)
