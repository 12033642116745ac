"""What the chat does: accounts, chats, messages, and their real-time delivery. Knows neither HTTP nor NiceGUI."""
