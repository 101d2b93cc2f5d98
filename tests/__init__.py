"""The tests of Motemo: unit (three interpreters), interop (other people's code), system (real server)."""
