# A comma after an argument, as in JSON.

plan "wrong" {}

locals {
  a = 1,
  b = 2
}
