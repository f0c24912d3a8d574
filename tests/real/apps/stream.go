// Streams a URL into a file with Go's net/http; 18 says that it broke.
//
//	stream URL FILE
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	count, err := stream(os.Args[1], os.Args[2])
	fmt.Fprintf(os.Stderr, "%d bytes, error: %v\n", count, err)
	if err != nil {
		os.Exit(18)
	}
}

func stream(url, path string) (int64, error) {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", "application/x-ndjson")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s", answer.Status)
	}
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return io.Copy(file, answer.Body)
}
