import java.nio.file.Files;
import java.nio.file.Path;

/** Prints the number of the shard of each line of {@code keys}. */
public class Main {
    public static void main(String[] arguments) throws Exception {
        for (String key : Files.readString(Path.of("keys")).split("\n")) {
            System.out.println(Ring.shardNumber(key));
        }
    }
}
