//go:build !official

package main

func more() {}
