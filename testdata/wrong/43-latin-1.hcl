# A file that is not UTF-8.

plan "wrong" {
  description = "Café"
}
