"""The dialogs of the chat page; each is built when it opens and gone when it closes."""
