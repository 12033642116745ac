"""What the guided fuzzers make their cases from; `CHAT` and `MESSAGE` stand for the ids of what is there."""

TOKENS = {
    "markdown": [
        "> ", "- ", "* ", "1. ", "# ", "```", "`", "**", "__", "~~", "[a](", "![", "](", "[x]: ", "<http://", "<!--",
        "|", "|-", "- [x] ", "javascript:", "data:text/html,", "vbscript:", "&#106;", "&colon;", "&Tab;", "&NewLine;",
        "<script>", "<img src=x onerror=", "<svg/onload=", "</p>", "<![CDATA[", "www.", "https://", "mailto:", "@a.b",
        "\\", '"', "'", " onclick=", "\u202e", "\u200b", "\x01", "\u2028", "\n", "\n\n", "\t", "    ",
    ],
    "frames": [
        '"type":', '"id":', '"chat_id":', '"message_id":', '"CHAT"', '"MESSAGE"', '"nonce":', '"body":', '"emoji":',
        '"reply_to":', '"seq":', '"before":', '"limit":', '"chats":{', '"message.send"', '"message.edit"', "null",
        '"message.delete"', '"reaction.add"', '"reaction.remove"', '"typing"', '"read"', '"history"', '"sync"',
        '"ping"', "true", "-1", "0", "9223372036854775807", "9223372036854775808", "1e999", "\\ud800", "\\u0000",
        "{", "}", "[", "]", ",", '"', "👍", "\u202e", "\u0301",
    ],
}  # fmt: skip

SEEDS = {
    "markdown": [
        "# Title\n\n**strong** *em* ~~gone~~ `code`\n\n> quote\n> > inside\n\n- one\n  - two\n- [x] done\n",
        "| a | b |\n| - | :-: |\n| 1 | `2` |\n",
        "[link](https://example.org 'title') <https://example.org> www.example.org a@example.org",
        "```python\nprint('<b>')\n```\n\n![picture](https://example.org/a.png)\n",
        "[ref]\n\n[ref]: javascript:alert(1)",
        "<script>alert(1)</script><img src=x onerror=alert(1)> &lt;b&gt; &#106;avascript:alert(1)",
    ],
    "frames": [
        '{"type":"message.send","id":1,"chat_id":"CHAT","nonce":"n","body":"Hello **all**","reply_to":"MESSAGE"}',
        '{"type":"message.edit","id":"a","chat_id":"CHAT","message_id":"MESSAGE","body":"Other"}',
        '{"type":"message.delete","id":2,"chat_id":"CHAT","message_id":"CHAT"}',
        '{"type":"reaction.add","id":3,"chat_id":"CHAT","message_id":"MESSAGE","emoji":"👍"}',
        '{"type":"reaction.remove","id":4,"chat_id":"CHAT","message_id":"MESSAGE","emoji":"👍"}',
        '{"type":"typing","chat_id":"CHAT"}',
        '{"type":"read","id":5,"chat_id":"CHAT","seq":3}',
        '{"type":"history","id":6,"chat_id":"CHAT","before":9,"limit":10}',
        '{"type":"sync","id":7,"chats":{"CHAT":0,"MESSAGE":5}}',
        '{"type":"ping","id":8}',
    ],
}
