# A brace on the next line, two arguments in one, a value that is missing, a comma that is.

plan "wrong" {}

locals
{
  a = 1
}

group "lab" {
  host "a" { vendor = "dell" serial = "x" }
}
