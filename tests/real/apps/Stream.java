import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Streams a URL into a file with Java's HttpClient, as it comes; 18 says that it broke. Arguments: URL FILE. */
public final class Stream {
    public static void main(String[] arguments) throws InterruptedException {
        Path file = Path.of(arguments[1]);
        int status = 0;
        String view = "whole";
        try {
            stream(URI.create(arguments[0]), file);
        } catch (IOException error) {
            status = 18;
            view = error.toString();
        }
        System.err.println(file.toFile().length() + " bytes, " + view);
        // The client's own threads would keep the process for a while.
        System.exit(status);
    }

    private static void stream(URI url, Path file) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(url).header("Accept", "application/x-ndjson").build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofInputStream());
        if (answer.statusCode() != 200) {
            throw new IOException("status " + answer.statusCode());
        }
        try (var body = answer.body(); var out = Files.newOutputStream(file)) {
            body.transferTo(out);
        }
    }
}
