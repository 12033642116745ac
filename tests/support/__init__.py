"""What tests are built from: real servers, real browsers, and the people who use them."""
