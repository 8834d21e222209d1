# Words in the place of operators.

plan "wrong" {}

locals {
  a = true and false
}
