"""What a request says, by where its wire says that each thing stands."""
