# Two arguments on one line.

plan "wrong" {}

group "lab" {
  host "a" { vendor = "dell" serial = "x" }
}
