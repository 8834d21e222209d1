# Quotation marks of word processors, single ones, none at all.

plan “wrong” {}

variable 'rack' {
  default = “r7”
}
