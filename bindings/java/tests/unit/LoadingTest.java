// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LoadingTest {
    private static Path jar() throws Exception {
        var source = TachyonBus.class.getProtectionDomain().getCodeSource();
        return Path.of(source.getLocation().toURI());
    }

    /** TachyonBus as another loader has it, with a native module of its own. */
    private static Class<?> another(Path jar) throws Exception {
        URL[] urls = {jar.toUri().toURL()};
        return new URLClassLoader(urls, ClassLoader.getPlatformClassLoader())
                .loadClass("dev.tachyon_ipc.TachyonBus");
    }

    private static Object invoke(Callable<?> call) {
        try {
            return call.call();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void two_loaders_have_two_modules_that_talk_to_each_other() throws Exception {
        Class<?> first = another(jar()), second = another(jar());
        String path = Pair.path();
        var listening = CompletableFuture.supplyAsync(() -> invoke(() ->
                first.getMethod("listen", String.class, long.class).invoke(null, path, 4096L)));
        Object tx = null;
        while (tx == null) {
            try {
                tx = second.getMethod("connect", String.class).invoke(null, path);
            } catch (InvocationTargetException e) {
                assertTrue(e.getCause().getMessage().contains(path), e.getCause()::toString);
                Thread.sleep(5);
            }
        }
        Object rx = listening.join();
        second.getMethod("send", byte[].class, int.class).invoke(tx, new byte[] {7}, 1);
        assertArrayEquals(new byte[] {7}, (byte[]) first.getMethod("recv", Duration.class)
                .invoke(rx, Pair.LONG));
        first.getMethod("close").invoke(rx);
        second.getMethod("close").invoke(tx);
        try (Pair pair = Pair.of(4096)) {
            pair.tx().send(new byte[1], 1);
            assertEquals(1, pair.rx().recv(Pair.LONG).length);
        }
    }

    @Test
    void a_jar_without_this_machine_says_so(@TempDir Path directory) throws Exception {
        Path bare = Files.copy(jar(), directory.resolve("bare.jar"));
        try (var files = FileSystems.newFileSystem(bare);
                var natives = Files.walk(files.getPath("/"))) {
            for (Path file : natives.filter(f -> f.toString().endsWith(".so")).toList())
                Files.delete(file);
        }
        var e = assertThrows(InvocationTargetException.class, () -> another(bare)
                .getMethod("connect", String.class).invoke(null, Pair.path())).getCause();
        assertEquals(UnsatisfiedLinkError.class, e.getClass());
        for (String part : new String[] {System.getProperty("os.arch").replace("amd64", "x86_64"),
            "linux", "-Ddev.tachyon_ipc.library=", "does not have it"})
            assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void a_file_that_is_no_library_is_named(@TempDir Path directory) throws Exception {
        Path broken = Files.writeString(directory.resolve("broken.so"), "no ELF");
        System.setProperty("dev.tachyon_ipc.library", broken.toString());
        try {
            var e = assertThrows(InvocationTargetException.class, () -> another(jar())
                    .getMethod("connect", String.class).invoke(null, Pair.path())).getCause();
            assertEquals(UnsatisfiedLinkError.class, e.getClass());
            assertTrue(e.getMessage().contains(broken.toString()), e.getMessage());
        } finally {
            System.clearProperty("dev.tachyon_ipc.library");
        }
    }
}
