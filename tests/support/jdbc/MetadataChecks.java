import java.sql.*;
import java.util.*;

/** Calls the metadata methods and the fetch modes of the JDBC driver; prints a line for each check. */
public class MetadataChecks {
    private static int rows(ResultSet r) throws SQLException {
        int n = 0;
        while (r.next()) n++;
        r.close();
        return n;
    }

    interface Check { Object run() throws Exception; }

    static void check(String name, Check check) {
        try {
            System.out.println(name + "\t" + check.run());
        } catch (Exception e) {
            System.out.println(name + "\tERROR " + e);
        }
    }

    public static void main(String[] args) throws Exception {
        String url = "jdbc:postgresql://127.0.0.1:" + args[0] + "/unify";
        Properties p = new Properties();
        p.setProperty("user", args[1]);
        p.setProperty("password", args[2]);
        try (Connection c = DriverManager.getConnection(url, p)) {
            DatabaseMetaData m = c.getMetaData();
            check("product", () -> m.getDatabaseProductName());
            check("catalogs", () -> rows(m.getCatalogs()));
            check("schemas", () -> rows(m.getSchemas()) > 3);
            check("tables", () -> rows(m.getTables(null, "shop", "%", new String[] {"TABLE", "VIEW"})));
            check("columns", () -> rows(m.getColumns(null, "shop", "orders", "%")));
            check("keys", () -> rows(m.getPrimaryKeys(null, "shop", "orders")));
            check("imported", () -> rows(m.getImportedKeys(null, "shop", "orders")));
            check("exported", () -> rows(m.getExportedKeys(null, "shop", "orders")));
            check("cross", () -> rows(m.getCrossReference(null, "shop", "orders", null, "shop", "large")));
            check("indexes", () -> rows(m.getIndexInfo(null, "shop", "orders", false, true)));
            check("types", () -> rows(m.getTypeInfo()) > 20);
            check("procedures", () -> rows(m.getProcedures(null, "main", "%")));
            check("functions", () -> rows(m.getFunctions(null, "main", "%")));
            check("privileges", () -> rows(m.getTablePrivileges(null, "shop", "orders")) >= 0);
            check("column privileges", () -> rows(m.getColumnPrivileges(null, "shop", "orders", "%")) >= 0);
            check("best row", () -> rows(m.getBestRowIdentifier(null, "shop", "orders", 0, true)));
            check("version columns", () -> rows(m.getVersionColumns(null, "shop", "orders")) >= 0);
            check("udts", () -> rows(m.getUDTs(null, "shop", "%", null)));
            check("table types", () -> rows(m.getTableTypes()) > 5);
            check("client info", () -> rows(m.getClientInfoProperties()) > 0);
            check("keywords", () -> m.getSQLKeywords().length() > 10);
            check("max name", () -> m.getMaxColumnNameLength());
            check("prepared", () -> {
                int sum = 0;
                try (PreparedStatement s = c.prepareStatement(
                        "select id, name, price, date '2026-03-01' + cast(id as int), timestamptz '2026-03-01 10:00:00+00', "
                        + "true, 1.50::decimal(5,2), [1, 2], {'a': 1} from shop.orders where id = ? and name like ?")) {
                    for (int i = 0; i < 10; i++) {  // from the fifth on, prepared by the server, in binary
                        s.setLong(1, i % 5);
                        s.setString(2, "order%");
                        ResultSet r = s.executeQuery();
                        r.next();
                        sum += r.getInt(1) + r.getDate(4).toLocalDate().getDayOfMonth()
                            + ((Integer[]) r.getArray(8).getArray())[1] + r.getBigDecimal(7).intValue();
                        if (!r.getBoolean(6) || !r.getString(9).contains("\"a\"")) throw new SQLException("wrong");
                        if (r.getTimestamp(5).toInstant().getEpochSecond() != 1772359200L) throw new SQLException("time");
                    }
                }
                return sum;
            });
            check("date parameter", () -> {
                PreparedStatement s = c.prepareStatement("select count(*) from t where d = ? and d < ?");
                s.setDate(1, java.sql.Date.valueOf("2026-01-02"));
                s.setTimestamp(2, Timestamp.valueOf("2027-01-01 00:00:00"));
                ResultSet r = s.executeQuery();
                r.next();
                return r.getInt(1);
            });
            check("fetch size", () -> {
                c.setAutoCommit(false);
                Statement s = c.createStatement();
                s.setFetchSize(1000);
                ResultSet r = s.executeQuery("select range from range(20000)");
                long sum = 0;
                while (r.next()) sum += r.getLong(1);
                c.commit();
                c.setAutoCommit(true);
                return sum;
            });
            check("two results", () -> {
                Statement s = c.createStatement();
                boolean first = s.execute("select 1; select 2");
                s.getMoreResults();
                ResultSet r = s.getResultSet();
                r.next();
                return first + " " + r.getInt(1);
            });
            check("timeout", () -> {
                Statement s = c.createStatement();
                s.setQueryTimeout(1);
                try {
                    s.executeQuery("select count(*) from range(100000) a, range(100000) b where a.range + b.range = 1");
                    return "no timeout";
                } catch (SQLException e) {
                    return e.getSQLState();
                }
            });
            check("error", () -> {
                try {
                    c.createStatement().executeQuery("select * from nowhere");
                    return "no error";
                } catch (SQLException e) {
                    return e.getSQLState();
                }
            });
            check("valid", () -> c.isValid(5));
            check("metadata", () -> {
                ResultSetMetaData d = c.prepareStatement("select * from shop.orders").getMetaData();
                return d.getColumnCount() + " " + d.getColumnTypeName(1);
            });
            check("parameter metadata", () -> {
                ParameterMetaData d = c.prepareStatement("select * from shop.orders where id = ?").getParameterMetaData();
                return d.getParameterTypeName(1);
            });
            check("listing", () -> rows(c.createStatement().executeQuery("show tables from shop")));
        }
    }
}
