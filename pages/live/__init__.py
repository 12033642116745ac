"""The live part of the chat page: `live.js` holds the connection, the classes here hold the markup."""
