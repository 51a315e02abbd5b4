import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.TreeMap;

/**
 * Which shard of a ringshard cluster owns a key: the ring of epoch @EPOCH@.
 *
 * <p>Written by {@code ringshard ring export --format java}; write it again after each change of the ring. docs/routing.md says how a
 * program notices that its ring is old: the shard itself refuses a key that it does not own.
 */
public final class Ring {
    public static final String CLUSTER = "@CLUSTER@";
    public static final long EPOCH = @EPOCH@;

    /** The name and the URL of a shard, without a password. */
    public record Shard(String name, String url) {}

    /** The shards by their numbers. */
    public static final Map<Integer, Shard> SHARDS = new TreeMap<>();

    /** The last position of each range, in hexadecimal digits, and the number of its owner. A constant may not be much longer. */
    private static final String[] RANGES = {
@RANGES@    };

    private static final TreeMap<BigInteger, Integer> OWNER = new TreeMap<>();

    static {
@SHARDS@        for (String line : RANGES) {
            for (String range : line.split(" ")) {
                OWNER.put(new BigInteger(range.substring(0, 32), 16), Integer.valueOf(range.substring(33)));
            }
        }
    }

    private Ring() {}

    /** The number of the shard that owns a key, which is given as Postgres prints it. */
    public static int shardNumber(String key) {
        try {
            byte[] digest = MessageDigest.getInstance("MD5").digest(key.getBytes(StandardCharsets.UTF_8));
            return OWNER.ceilingEntry(new BigInteger(1, digest)).getValue();
        } catch (NoSuchAlgorithmException cause) {
            throw new IllegalStateException(cause);
        }
    }

    /** That shard. */
    public static Shard route(String key) {
        return SHARDS.get(shardNumber(key));
    }
}
